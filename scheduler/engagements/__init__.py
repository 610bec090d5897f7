"""Technical service as a project with milestones: asked, quoted, accepted, delivered and accepted piece by piece, billed.

Concept verification, pilot lines and instruments that offer technical service. What is asked for, quoted and delivered is
for the two parties' eyes only.
"""

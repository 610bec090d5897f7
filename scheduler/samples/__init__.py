"""Samples sent to a lab: asked, quoted, received under custody, tested, reviewed by a second person, reported, paid."""

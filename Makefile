.PHONY: help
help:
	@echo "run test check"

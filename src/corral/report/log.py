"""The log by its former name."""

from corral.report.logger import Logger as Log

__all__ = ["Log"]

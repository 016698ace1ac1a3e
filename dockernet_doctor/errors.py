"""What can go wrong with a run as a whole. Everything else is a blind spot or a finding of the report.

DoctorError
├── CommandLineError       exit 2: what was typed cannot be meant
├── NotExaminableError     exit 3: something asked for could not be looked at, and there is no report to say so
└── ReportNotWrittenError  exit 4: the report could not be written
"""

from __future__ import annotations


class DoctorError(Exception):
    """An expected error: its text is one line that says what was wrong, and what would be right."""

    status = 4


class CommandLineError(DoctorError):
    status = 2


class NotExaminableError(DoctorError):
    status = 3


class ReportNotWrittenError(DoctorError):
    status = 4

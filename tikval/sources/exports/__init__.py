"""Exports of the field's tools -> PostRow: `read_export` recognises them by content."""

from tikval.sources.exports.read import read_export
from tikval.sources.exports.source_export import SourceExport

__all__ = ["SourceExport", "read_export"]

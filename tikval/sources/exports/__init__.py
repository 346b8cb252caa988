"""Exports of the field's tools -> PostRow: `read_export` recognises them by content."""

from tikval.sources.exports.read import SourceExport, read_export, table_export

__all__ = ["SourceExport", "read_export", "table_export"]

"""The documents for accounting, where people and systems read them: HTTP, CSV, files; and readers' cursors."""

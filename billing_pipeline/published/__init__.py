"""The published database: the tables that everybody reads, and invoices as they were billed."""

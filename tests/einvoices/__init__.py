"""Electronic invoices of generated months, judged by the official rules of EN 16931."""

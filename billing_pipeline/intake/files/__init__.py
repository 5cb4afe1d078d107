"""Storages and file formats: directories, object stores, text and typed Parquet."""

"""What a storage and a file format are: directories, object stores, text and typed Parquet."""

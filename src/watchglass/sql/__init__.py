"""All SQL: the final schema, the migrations that lead to it, and one file of named queries per concept."""

//! Settings tables.

//! Settings that are refused, and where.

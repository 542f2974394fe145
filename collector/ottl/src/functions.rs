//! The algorithms behind converters and editors, on natural Rust types.

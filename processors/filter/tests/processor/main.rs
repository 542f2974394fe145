//! The whole processor: requests in, requests out.

mod filter;
mod golden;

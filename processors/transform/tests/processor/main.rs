//! The whole processor: requests in, requests out.

mod golden;
mod transform;

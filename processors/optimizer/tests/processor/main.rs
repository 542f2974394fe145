//! The whole processor: requests in and out, what it saves and predicts, what it takes, and the configurations of `configs/`.

mod analysis;
mod catalogs;
mod compression;
mod golden;
mod memory;
mod reductions;
mod shipped;
mod under_load;

//! What every client and server shares.

#![allow(dead_code, unused)]

pub mod compression;
mod io;
pub mod payload;

//! Settings of the OTLP receiver.

use phoenix_config::{Block, Problems, Settings};
use phoenix_pdata::InvalidUtf8;
use phoenix_transport::settings::{GrpcServerSettings, HttpServerSettings};
use serde::Deserialize;

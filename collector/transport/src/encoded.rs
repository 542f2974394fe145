//! A body that its server leaves compressed, for a service that may want it as it came.

use std::time::Duration;

use bytes::Bytes;
use phoenix_component::Budget;
use phoenix_pdata::Coding;

use crate::compression::{self, DecodeError, Encoding};
use crate::metrics::ServerMetrics;

/// A body as it came, and what is needed to decompress it within the server's limits.
#[derive(Debug)]
pub struct EncodedBody {
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Bytes,
    /// Most plain bytes.
    pub(crate) limit: usize,
    pub(crate) budget: Budget,
    pub(crate) over_budget_delay: Duration,
    pub(crate) metrics: ServerMetrics,
}

/// Why an [`EncodedBody`] cannot be decompressed; a status or an HTTP body error says it to the client. It
/// was counted.
#[derive(Debug)]
pub struct Undecodable {
    pub(crate) error: DecodeError,
    pub(crate) encoding: Encoding,
    pub(crate) over_budget_delay: Duration,
}

impl EncodedBody {
    /// How it is compressed.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The compressed bytes, charged to the budget.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Decompresses it; the result is charged to the budget. With it comes the coding under which everybody
    /// reads the compressed bytes alike, if they are in one.
    ///
    /// # Errors
    /// Where it is too large, corrupt, or the budget has no room for it.
    pub async fn decode(&self) -> Result<(Bytes, Option<Coding>), Undecodable> {
        let charge = self.budget.charge_reserve(0);
        compression::decode(self.encoding, self.bytes.clone(), self.limit, charge)
            .await
            .map_err(|error| self.undecodable(error))
    }

    /// Decompresses it into a buffer that is used again for the next, and shows it to `work`.
    ///
    /// # Errors
    /// Like [`EncodedBody::decode`].
    pub async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Result<(T, Option<Coding>), Undecodable> {
        let charge = self.budget.charge_reserve(0);
        compression::look(self.encoding, self.bytes.clone(), self.limit, charge, work)
            .await
            .map_err(|error| self.undecodable(error))
    }

    fn undecodable(&self, error: DecodeError) -> Undecodable {
        self.metrics.refused(match error {
            DecodeError::TooLarge { .. } => "too_large",
            DecodeError::Budget => "budget",
            DecodeError::Corrupt { .. } => "encoding",
        });
        Undecodable { error, encoding: self.encoding, over_budget_delay: self.over_budget_delay }
    }
}

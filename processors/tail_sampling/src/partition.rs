//! The inline half: refuses while there is no room, and says which shards a request goes to.

use std::sync::Arc;
use std::time::Duration;

use phoenix_component::{Batch, Partition, Refusal};
use phoenix_pdata::wire::Fields;

use crate::buffer::Pool;

/// How long a sender should wait that found no room.
const DELAY: Duration = Duration::from_secs(1);

const TRACE_ID: u32 = 1;

/// The identifier of a span's trace; zeros where it has none.
#[inline]
pub(crate) fn trace_id(span: &[u8]) -> [u8; 16] {
    // Nearly always the first field; a sender that repeats it is read as if it had not.
    if let Some([0x0a, 16, id @ ..]) = span.first_chunk::<18>() {
        return *id;
    }
    let field = Fields::new(span).find(|field| field.is_len(TRACE_ID));
    field.and_then(|field| field.body.try_into().ok()).unwrap_or_default()
}

/// The shard of a trace, as otelcol computes it.
#[inline]
pub(crate) fn shard_of(id: &[u8; 16], shards: u64) -> u64 {
    let [_, _, _, _, _, _, _, _, low @ ..] = *id;
    u64::from_le_bytes(low) % shards
}

/// The spans of a request, as encoded.
fn spans(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    Fields::new(piece)
        .filter(|entry| entry.is_len(1))
        .flat_map(|entry| Fields::new(entry.body).filter(|scope| scope.is_len(2)))
        .flat_map(|scope| Fields::new(scope.body).filter(|span| span.is_len(2)))
        .map(|span| span.body)
}

/// Deals traces to shards.
pub(crate) struct ByTrace {
    pub(crate) shards: u64,
    pub(crate) pool: Arc<Pool>,
    /// Refuse data while as many traces wait as may.
    pub(crate) blocks: bool,
}

impl Partition for ByTrace {
    fn prepare(&self, batch: Batch, emit: &mut dyn FnMut(u64, Batch)) -> Result<(), Refusal> {
        if self.pool.fullness() >= 1.0 {
            return Err(
                Refusal::retryable("buffer_full", "as many spans wait for a decision as may").after(DELAY)
            );
        }
        if self.blocks && self.pool.has_all_traces() {
            return Err(
                Refusal::retryable("too_many_traces", "num_traces traces wait for a decision").after(DELAY)
            );
        }
        if self.shards == 1 {
            emit(0, batch);
            return Ok(());
        }
        // Shards share the bytes, and each picks its spans.
        let mut counts = vec![0_u64; self.shards as usize];
        for span in batch.payload.pieces().flat_map(|piece| spans(piece)) {
            counts[shard_of(&trace_id(span), self.shards) as usize] += 1;
        }
        for (shard, items) in counts.into_iter().enumerate().filter(|(_, items)| *items > 0) {
            emit(shard as u64, Batch { items, ..batch.clone() });
        }
        Ok(())
    }
}

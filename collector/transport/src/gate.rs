use std::sync::Arc;

use phoenix_component::limiter::Limiter;

/// The memory limiters that a server asks before it reads a request; none lets everything pass.
#[derive(Clone, Debug, Default)]
pub struct Gate(Vec<Arc<Limiter>>);

impl Gate {
    /// A gate that is shut while one of `limiters` refuses.
    pub fn new(limiters: Vec<Arc<Limiter>>) -> Gate {
        Gate(limiters)
    }

    /// Whether requests are refused now.
    #[inline]
    pub(crate) fn is_shut(&self) -> bool {
        self.0.iter().any(|limiter| limiter.refuses())
    }
}

/// Whether both ask the same limiters.
impl PartialEq for Gate {
    fn eq(&self, other: &Gate) -> bool {
        let pairs = || self.0.iter().zip(&other.0);
        self.0.len() == other.0.len() && pairs().all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

use phoenix_component::{BoxFuture, Host, Lost, Receiver, StartError};
use tokio::time::Instant;

/// A receiver that brings nothing in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nop;

impl Receiver for Nop {
    fn bind<'a>(&'a self, _host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async { Ok(()) })
    }

    fn serve(&self, _host: &Host) {}

    fn stop(&self, _deadline: Instant) -> BoxFuture<'_, Lost> {
        Box::pin(async { Lost::default() })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn stops_at_once_whether_it_ran_or_not() {
        assert_eq!(Nop.stop(Instant::now()).now_or_never(), Some(Lost::default()));
    }
}

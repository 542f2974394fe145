//! A panic in a component fails one request and shows in its health, no more.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;
use phoenix_component::{BoxFuture, Refusal, Status, StatusReporter};

/// Runs a component's synchronous code.
pub(crate) fn run<T>(status: &StatusReporter, code: impl FnOnce() -> T) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(|| status.log_scope().run(code))).map_err(|panic| refusal(status, &*panic))
}

/// Awaits a component's answer.
pub(crate) async fn answer(
    status: &StatusReporter,
    mut future: BoxFuture<'_, Result<(), Refusal>>,
) -> Result<(), Refusal> {
    let scope = status.log_scope();
    let future = std::future::poll_fn(|cx| scope.run(|| future.as_mut().poll(cx)));
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => Err(refusal(status, &*panic)),
    }
}

fn refusal(status: &StatusReporter, panic: &(dyn Any + Send)) -> Refusal {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no message");
    status.log_scope().run(|| tracing::error!(panic = text, "a component panicked; its request failed"));
    status.report(Status::Recoverable(format!("panicked: {text}")));
    Refusal::permanent("panic", format!("internal error in {}", status.key()))
}

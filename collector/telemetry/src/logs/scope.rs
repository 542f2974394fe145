//! Which component is at work on this thread, so that its records say so.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use super::Value;

/// Scopes that are told apart; further ones have no fields. More than there can be components at a time,
/// so that only endless changes of names in a configuration get there.
const MOST: usize = 10_000;

static TABLE: Mutex<Vec<Fields>> = Mutex::new(Vec::new());

type Fields = Vec<(&'static str, String)>;

thread_local!(static CURRENT: Cell<Scope> = const { Cell::new(Scope(0)) });

/// The fields of a component's records. Two writes to a thread's own memory to enter and leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope(u32);

impl Scope {
    /// The scope with these fields: the same for the same ones.
    pub fn of(fields: Vec<(&'static str, String)>) -> Scope {
        let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        let index = table.iter().position(|known| *known == fields).or_else(|| {
            (table.len() < MOST).then(|| {
                table.push(fields);
                table.len() - 1
            })
        });
        Scope(index.and_then(|index| u32::try_from(index + 1).ok()).unwrap_or(0))
    }

    /// The scope that this thread is in.
    pub fn current() -> Scope {
        CURRENT.get()
    }

    /// Runs `code` within the scope.
    #[inline]
    pub fn run<T>(self, code: impl FnOnce() -> T) -> T {
        let _left = Left(CURRENT.replace(self));
        code()
    }

    /// Runs a future within the scope, wherever it is polled.
    pub fn wrap<F: Future>(self, future: F) -> Scoped<F> {
        Scoped { scope: self, future: Box::pin(future) }
    }

    pub(super) fn fields(self) -> Vec<(String, Value)> {
        if self.0 == 0 {
            return Vec::new();
        }
        let table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        let fields = table.get(self.0 as usize - 1).map(Vec::as_slice).unwrap_or_default();
        fields.iter().map(|(key, value)| ((*key).to_owned(), Value::Text(value.clone()))).collect()
    }
}

/// Puts the former scope back, also where the code panics.
struct Left(Scope);

impl Drop for Left {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// A future within a scope.
pub struct Scoped<F> {
    scope: Scope,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let scope = self.scope;
        scope.run(|| pin!(&mut self.future).poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_nest_and_end_with_a_panic() {
        let (outer, inner) = (Scope::of(vec![("a", "1".to_owned())]), Scope::of(vec![("a", "2".to_owned())]));
        assert_ne!(outer, inner);
        assert_eq!(outer, Scope::of(vec![("a", "1".to_owned())]));
        outer.run(|| {
            let _ = std::panic::catch_unwind(|| inner.run(|| panic!("on purpose")));
            assert_eq!(Scope::current(), outer);
            assert_eq!(Scope::current().fields(), [("a".to_owned(), "1".into())]);
        });
        assert_eq!(Scope::current(), Scope::default());
    }
}

//! Walks over requests, for changes in place.

use crate::view::{Resource, Scope, View as _};
use crate::wire::{Field, Fields};
use crate::{Rewriter, Signal};

/// What a record belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// The resource, if there is one.
    pub resource: Option<Resource<'a>>,
    /// The scope, if there is one.
    pub scope: Option<Scope<'a>>,
}

/// Calls for the entry of each resource; it is open meanwhile.
pub fn resources<'a>(rewriter: &mut Rewriter<'a>, mut visit: impl FnMut(&mut Rewriter<'a>, &Field<'a>)) {
    for entry in Fields::new(rewriter.message()).filter(|field| field.is_len(1)) {
        rewriter.enter(&entry);
        visit(rewriter, &entry);
        rewriter.leave();
    }
}

/// Calls for each span, log record or metric; what is around it is open. `enter` says whether to go into a scope.
pub fn records<'a>(
    rewriter: &mut Rewriter<'a>,
    mut enter: impl FnMut(&Around<'a>) -> bool,
    mut visit: impl FnMut(&mut Rewriter<'a>, &Field<'a>),
) {
    resources(rewriter, |rewriter, entry| {
        let resource = first(entry.body).map(Resource::new);
        for scope_entry in Fields::new(entry.body).filter(|field| field.is_len(2)) {
            let scope = first(scope_entry.body).map(Scope::new);
            if !enter(&Around { resource, scope }) {
                continue;
            }
            rewriter.enter(&scope_entry);
            for record in Fields::new(scope_entry.body).filter(|field| field.is_len(2)) {
                visit(rewriter, &record);
            }
            rewriter.leave();
        }
    });
}

/// Calls for each span, log record or metric, and leaves out those that it says no to; with them the scopes and resources
/// that are left without any, or came so. What is around a record is open; `enter` hears of it first. Returns how many
/// stay.
pub fn retain_records<'a>(
    rewriter: &mut Rewriter<'a>,
    mut enter: impl FnMut(&Around<'a>),
    mut keep: impl FnMut(&mut Rewriter<'a>, &Field<'a>) -> bool,
) -> u64 {
    let mut all = 0;
    for entry in Fields::new(rewriter.message()).filter(|field| field.is_len(1)) {
        rewriter.enter(&entry);
        let resource = first(entry.body).map(Resource::new);
        let mut of_resource = 0;
        for scope in Fields::new(entry.body).filter(|field| field.is_len(2)) {
            rewriter.enter(&scope);
            enter(&Around { resource, scope: first(scope.body).map(Scope::new) });
            let mut of_scope = 0;
            for record in Fields::new(scope.body).filter(|field| field.is_len(2)) {
                if keep(rewriter, &record) {
                    of_scope += 1;
                } else {
                    rewriter.remove(&record);
                }
            }
            leave(rewriter, of_scope);
            of_resource += of_scope;
        }
        leave(rewriter, of_resource);
        all += of_resource;
    }
    all
}

fn leave(rewriter: &mut Rewriter<'_>, stay: u64) {
    if stay > 0 { rewriter.leave() } else { rewriter.leave_and_remove() }
}

/// Calls for the data points of a metric, with the number of the field of their attributes; what is around a point
/// is open.
pub fn points<'a>(
    rewriter: &mut Rewriter<'a>,
    metric: &Field<'a>,
    mut visit: impl FnMut(&mut Rewriter<'a>, &Field<'a>, u32),
) {
    rewriter.enter(metric);
    for data in Fields::new(metric.body) {
        let Some(attributes) = point_attributes(&data) else { continue };
        rewriter.enter(&data);
        for point in Fields::new(data.body).filter(|field| field.is_len(1)) {
            visit(rewriter, &point, attributes);
        }
        rewriter.leave();
    }
    rewriter.leave();
}

/// The number of the field that holds the attributes of the points of a metric's data, by the kind of data.
fn point_attributes(data: &Field<'_>) -> Option<u32> {
    [(5, 7), (7, 7), (9, 9), (10, 1), (11, 7)]
        .into_iter()
        .find(|(number, _)| data.is_len(*number))
        .map(|(_, attributes)| attributes)
}

/// The number of the field that holds the attributes of a record; of metrics, whose points have them, none.
pub fn record_attributes(signal: Signal) -> Option<u32> {
    match signal {
        Signal::Traces => Some(9),
        Signal::Logs => Some(6),
        Signal::Metrics => None,
    }
}

/// The body of the resource or scope of an entry.
fn first(entry: &[u8]) -> Option<&[u8]> {
    Fields::new(entry).find(|field| field.is_len(1)).map(|field| field.body)
}

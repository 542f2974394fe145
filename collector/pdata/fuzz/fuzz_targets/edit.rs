//! Edits at any place: no panic, and edits of records give valid requests.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use phoenix_pdata::{Editor, InvalidUtf8, Signal, Upsert, edit, validate, view};

fuzz_target!(|input: (Vec<u8>, Vec<(u16, u8, u8, u8)>)| {
    let (data, changes) = input;
    let mut editor = Editor::new(&data);
    for (start, len, kind, fresh) in &changes {
        let start = usize::from(*start).min(data.len());
        let place = &data[start..(start + usize::from(*len)).min(data.len())];
        match kind % 4 {
            0 => drop(editor.remove(place)),
            1 => drop(editor.replace(place, &vec![b'x'; usize::from(*fresh) * 3])),
            2 => drop(editor.append(place, |out| out.extend([0x30, 1]))),
            _ => drop(editor.clear_field(place, u32::from(*fresh))),
        }
    }
    editor.finish();

    let Ok((payload, counts)) = validate(Signal::Traces, Bytes::from(data), InvalidUtf8::Pass) else {
        return;
    };
    let mut changes = changes.iter().cycle();
    let mut removed = 0;
    let edited = edit(payload, |editor| {
        for entry in view::resource_spans(editor.message()) {
            if let Some(resource) = entry.resource() {
                editor.set_attribute(&resource, "service.name", &"fuzz".into(), Upsert::Upsert);
            }
            for span in entry.scopes().into_iter().flat_map(|scope| scope.records()) {
                match changes.next().map_or(0, |change| change.2 % 4) {
                    0 => {
                        assert!(editor.remove(span.raw()));
                        removed += 1;
                    }
                    1 => drop(editor.set_attribute(&span, "key", &1i64.into(), Upsert::Upsert)),
                    2 => drop(editor.retain_attributes(&span, |attribute| attribute.key().is_empty())),
                    _ => drop(editor.clear_field(span.raw(), 5)),
                }
            }
        }
    });
    let edited = edited.into_contiguous();
    let (_, after) =
        validate(Signal::Traces, edited, InvalidUtf8::Pass).expect("an edit gives a valid request");
    assert_eq!(after.items, counts.items - removed);
});

//! Protobuf as it is written: just what own logs and traces need.

/// A message under construction.
#[derive(Debug, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    pub(crate) fn uint(&mut self, field: u32, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        self.key(field, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn fixed32(&mut self, field: u32, value: u32) {
        self.key(field, 5);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    pub(crate) fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    pub(crate) fn message(&mut self, field: u32, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }
}

/// A `KeyValue`.
pub(crate) fn key_value(out: &mut Message, field: u32, key: &str, value: &crate::logs::Value) {
    out.message(field, |entry| {
        entry.text(1, key);
        entry.message(2, |out| any_value(out, value));
    });
}

/// The content of an `AnyValue`.
pub(crate) fn any_value(out: &mut Message, value: &crate::logs::Value) {
    use crate::logs::Value;
    match value {
        Value::Null => {}
        Value::Text(text) => out.text(1, text),
        Value::Bool(value) => out.uint(2, u64::from(*value)),
        Value::Int(value) => out.uint(3, *value as u64),
        Value::Uint(value) => match i64::try_from(*value) {
            Ok(value) => out.uint(3, value as u64),
            Err(_) => out.text(1, &value.to_string()),
        },
        Value::Float(value) => out.fixed64(4, value.to_bits()),
        Value::List(values) => out.message(5, |list| {
            values.iter().for_each(|value| list.message(1, |out| any_value(out, value)));
        }),
        Value::Map(entries) => out.message(6, |map| {
            entries.iter().for_each(|(key, value)| key_value(map, 1, key, value));
        }),
    }
}

/// A request with one resource and one scope: `records` writes the records, under field 2 of the scope's list.
pub(crate) fn request(
    resource: &[(String, String)],
    version: &str,
    records: impl FnOnce(&mut Message),
) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |of_resource| {
        of_resource.message(1, |out| {
            for (key, value) in resource {
                key_value(out, 1, key, &crate::logs::Value::Text(value.clone()));
            }
        });
        of_resource.message(2, |of_scope| {
            of_scope.message(1, |scope| {
                scope.text(1, "go.opentelemetry.io/collector/service");
                scope.text(2, version);
            });
            records(of_scope);
        });
    });
    request.into_bytes()
}

/// A time in nanoseconds since 1970.
pub(crate) fn nanos(time: std::time::SystemTime) -> u64 {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

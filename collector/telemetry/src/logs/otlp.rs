use super::{LogLevel, Record, Value};
use crate::wire::{any_value, key_value, nanos, request};

/// Records as an OTLP export request.
pub fn logs_request(resource: &[(String, String)], version: &str, records: &[Record]) -> Vec<u8> {
    request(resource, version, |scope| {
        for record in records {
            scope.message(2, |out| {
                let time = nanos(record.time);
                out.fixed64(1, time);
                out.uint(2, severity(record.level));
                out.text(3, record.level.name());
                out.message(5, |body| any_value(body, &Value::Text(record.message.clone())));
                for (key, value) in &record.fields {
                    key_value(out, 6, key, value);
                }
                if let Some(caller) = &record.caller {
                    key_value(out, 6, "caller", &Value::Text(caller.clone()));
                }
                if let Some(trace) = &record.stacktrace {
                    key_value(out, 6, "stacktrace", &Value::Text(trace.clone()));
                }
                out.fixed64(11, time);
            });
        }
    })
}

fn severity(level: LogLevel) -> u64 {
    match level {
        LogLevel::Debug => 5,
        LogLevel::Info => 9,
        LogLevel::Warn => 13,
        LogLevel::Error => 17,
        LogLevel::DPanic => 18,
        LogLevel::Panic => 19,
        LogLevel::Fatal => 21,
    }
}

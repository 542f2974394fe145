//! Tokens as a token endpoint answers, and when they have to be renewed.

use std::time::Duration;

use http::HeaderValue;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

/// A token that is sent.
pub(crate) struct Token {
    /// The value of `Authorization`.
    pub(crate) header: HeaderValue,
    /// When it is time for another one; none where it does not expire.
    renew_at: Option<Instant>,
    expires_at: Option<Instant>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: Value,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

impl Token {
    /// Reads the answer of a token endpoint (RFC 6749, section 5.1) that came at `now`.
    pub(crate) fn parse(body: &[u8], now: Instant, buffer: Duration) -> Result<Token, String> {
        let answer: Answer =
            serde_json::from_slice(body).map_err(|_| "the answer is not JSON as it should be".to_owned())?;
        if answer.access_token.is_empty() {
            return Err("the answer has no access_token".to_owned());
        }
        let kind = match answer.token_type.to_ascii_lowercase().as_str() {
            "" | "bearer" => "Bearer".to_owned(),
            "basic" => "Basic".to_owned(),
            "mac" => "MAC".to_owned(),
            _ => answer.token_type,
        };
        let mut header = HeaderValue::try_from(format!("{kind} {}", answer.access_token))
            .map_err(|_| "the token has characters that no header can hold".to_owned())?;
        header.set_sensitive(true);
        let seconds = match &answer.expires_in {
            Value::Number(number) => number.as_f64(),
            // Some servers write it as text.
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let life =
            seconds.filter(|seconds| *seconds > 0.0).and_then(|life| Duration::try_from_secs_f64(life).ok());
        let at = |life: Duration| now.checked_add(life);
        Ok(Token {
            header,
            // A token that lives shorter than the buffer would be renewed for every request.
            renew_at: life.and_then(|life| at(life.saturating_sub(buffer).max(life / 2))),
            expires_at: life.and_then(at),
        })
    }

    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.renew_at.is_none_or(|at| now < at)
    }

    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }
}

/// What a token endpoint says went wrong (RFC 6749, section 5.2), as far as it can be shown.
pub(crate) fn failure(body: &[u8]) -> Option<String> {
    let Failure { error } = serde_json::from_slice(body).ok()?;
    let is_code = error.len() <= 64 && error.bytes().all(|byte| byte.is_ascii_graphic());
    is_code.then_some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_token_is_renewed_before_it_expires() {
        let now = Instant::from_std(std::time::Instant::now());
        let token = |json: &str| Token::parse(json.as_bytes(), now, 5 * MINUTE);
        let hour = token(r#"{"access_token":"t","token_type":"bearer","expires_in":3600}"#).expect("a token");
        assert_eq!(hour.header, "Bearer t");
        assert!(!format!("{:?}", hour.header).contains('t') || hour.header.is_sensitive());
        assert!(hour.is_fresh(now + 54 * MINUTE) && !hour.is_fresh(now + 55 * MINUTE));
        assert!(hour.is_valid(now + 59 * MINUTE) && !hour.is_valid(now + 60 * MINUTE));
        let short = token(r#"{"access_token":"t","expires_in":"60"}"#).expect("a token");
        assert!(short.is_fresh(now + MINUTE / 4) && !short.is_fresh(now + MINUTE / 2));
        for without in ["", r#","expires_in":0"#, r#","expires_in":null"#, r#","expires_in":-5"#] {
            let token =
                token(&format!(r#"{{"access_token":"t","token_type":"X"{without}}}"#)).expect("a token");
            assert!(token.is_fresh(now + 100_000 * MINUTE), "{without}");
            assert_eq!(token.header, "X t");
        }
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"access_token":""}"#,
            "{\"access_token\":\"a\\nb\"}",
            r#"{"access_token":5}"#,
        ] {
            assert!(token(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn codes_are_shown_and_other_texts_are_not() {
        assert_eq!(
            failure(br#"{"error":"invalid_client","error_description":"secret"}"#).as_deref(),
            Some("invalid_client")
        );
        for other in [&b"<html>"[..], br#"{"error":"a b"}"#, br#"{"error":{}}"#] {
            assert_eq!(failure(other), None);
        }
    }
}

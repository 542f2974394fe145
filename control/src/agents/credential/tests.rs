//! What credentials say, and what lets nobody in, over every kind of database.

use super::*;
use crate::agents::{self, Admission, admit, confirm_credential, enrol, is_credential_due, new_credential};
use crate::ids::{Secret, sha256};
use crate::selector::Labels;
use crate::store::rig::{all, open};
use crate::time::now_ms;

const AGENT: &str = "0a";
const OTHER: &str = "0b";
const AGE: Option<i64> = Some(30 * DAY_MS);

/// Two agents that are known.
fn known(tx: &mut dyn Tx, now: i64) -> Result<()> {
    let token = agents::add_token(tx, &Caller::system(), now, "token", &Labels::new(), None, None)?;
    let admission = Admission::Token(token.id);
    enrol(tx, now, AGENT, &admission)?;
    enrol(tx, now, OTHER, &admission)
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// Writes a token down as the credential of the agent: what is refused then is so by what it says or who signed it.
fn write_down(tx: &mut dyn Tx, token: &str) -> Result<()> {
    let sql = "UPDATE agents SET credential_hash = ?2, former_hash = NULL WHERE id = ?1";
    tx.execute(sql, args![AGENT, sha256(token)]).map(|_| ())
}

fn own(id: &str) -> Result<Option<Admission>> {
    Ok(Some(Admission::Own(id.to_owned())))
}

fn key_of(token: &str) -> Value {
    part(token, 0)["kid"].clone()
}

#[tokio::test]
async fn a_credential_says_whose_it_is_and_until_when() {
    for test in all().await {
        let said = test.db.write(|tx| {
            let now = 1_800_000_000_500;
            known(tx, now)?;
            let token = new_credential(tx, now, AGENT, AGE)?;
            let (header, claims) = (part(&token, 0), part(&token, 1));
            let key = header["kid"].as_str().expect("a key").to_owned();
            assert_eq!(header, json!({"alg": "EdDSA", "kid": key, "typ": "JWT"}));
            let id = claims["jti"].as_str().expect("an identifier");
            assert_eq!(id.len(), 32, "{claims}");
            let expected = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": AGENT, "jti": id, "iat": 1_800_000_000,
                "nbf": 1_800_000_000, "exp": 1_800_000_000 + 120 * 24 * 3600});
            assert_eq!(claims, expected);
            assert_eq!(admit(tx, now, &token), own(AGENT));

            let endless = new_credential(tx, now, OTHER, None)?;
            assert_eq!((&part(&endless, 1)["exp"], key_of(&endless)), (&Value::Null, json!(key)));
            assert_ne!(part(&endless, 1)["jti"], id);
            assert_eq!(admit(tx, i64::MAX / 2, &endless), own(OTHER));
            let kept = tx.query("SELECT public_key FROM signing_keys", &[])?;
            assert_eq!(kept.len(), 1);
            // What is kept of it is its hash.
            let hash = tx.one("SELECT credential_hash FROM agents WHERE id = ?1", args![AGENT])?;
            assert_eq!(hash.map(|row| row.text(0)), Some(sha256(&token)));
            Ok(())
        });
        said.await.expect("said");
    }
}

#[tokio::test]
async fn what_was_not_signed_so_or_says_something_else_lets_nobody_in() {
    for test in all().await {
        let judged = test.db.write(|tx| {
            let now = now_ms();
            known(tx, now)?;
            let token = new_credential(tx, now, AGENT, AGE)?;
            let (header, claims) = (part(&token, 0), part(&token, 1));
            let pair = signing_key(tx, now)?.pair;
            let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("made");
            let foreign = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("read");
            let seconds = now / 1000;
            let with = |of: &Value, name: &str, value: Value| {
                let mut changed = of.clone();
                changed[name] = value;
                changed
            };
            let header_with = |name, value| with(&header, name, value);
            let claims_with = |name, value| signed(&pair, &header, &with(&claims, name, value));
            let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
            let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
            bytes[0] ^= 1;
            let tampered = format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(bytes));
            let other = claims_with("sub", json!(OTHER));
            let mixed = format!("{head}.{}.{signature}", other.split('.').nth(1).expect("claims"));
            let unsigned = signed(&pair, &header_with("alg", json!("none")), &claims);
            let bare = format!("{}.", unsigned.rsplit_once('.').expect("three parts").0);
            // (case, token, why it is refused)
            let cases = [
                ("as it is", claims_with("nbf", json!(seconds)), None),
                ("almost too late", claims_with("exp", json!(seconds + 2)), None),
                ("within what clocks may be apart", claims_with("nbf", json!(seconds + 290)), None),
                ("signature", tampered, Some("failed to verify signature")),
                ("another's claims", mixed, Some("failed to verify signature")),
                ("none, with a signature", unsigned, Some("unsupported signature algorithm \"none\"")),
                ("none", bare, Some("unsupported signature algorithm \"none\"")),
                ("HS256", signed(&pair, &header_with("alg", json!("HS256")), &claims), Some("unsupported")),
                ("ES256", signed(&pair, &header_with("alg", json!("ES256")), &claims), Some("no key")),
                ("RS256", signed(&pair, &header_with("alg", json!("RS256")), &claims), Some("no key")),
                ("no such key", signed(&pair, &header_with("kid", json!("sig_1")), &claims), Some("no key")),
                ("another key", signed(&foreign, &header, &claims), Some("failed to verify signature")),
                ("issuer", claims_with("iss", json!("https://id.example")), Some("another provider")),
                ("audience", claims_with("aud", json!("phoenix-control/api")), Some("audience")),
                (
                    "expired",
                    claims_with("exp", json!(seconds)),
                    Some("has expired; DELETE /agents/{id}/credential"),
                ),
                ("not yet", claims_with("nbf", json!(seconds + 302)), Some("not valid yet")),
                ("no time", claims_with("exp", json!("never")), Some("claim \"exp\"")),
            ];
            for (case, token, why) in cases {
                write_down(tx, &token)?;
                let admitted = admit(tx, now, &token);
                match (why, admitted) {
                    (None, admitted) => assert_eq!(admitted, own(AGENT), "{case}"),
                    (Some(why), Err(Error::Unauthorized(text))) => {
                        assert!(text.contains(why), "{case}: {text}")
                    }
                    (Some(_), admitted) => panic!("{case}: {admitted:?}"),
                }
            }
            // Signed by the service's own key, and yet no agent's.
            for sub in [json!(OTHER), json!("0c"), json!(""), json!(7), Value::Null] {
                let token = claims_with("sub", sub.clone());
                write_down(tx, &token)?;
                assert_eq!(admit(tx, now, &token), Ok(None), "{sub}");
            }
            for malformed in ["", "x", "a.b", "a.b.c", "Bearer x", "....", "phx_"] {
                assert_eq!(admit(tx, now, malformed), Ok(None), "{malformed}");
            }
            Ok(())
        });
        judged.await.expect("judged");
    }
}

#[tokio::test]
async fn only_the_record_makes_a_credential_count() {
    for test in all().await {
        let judged = test.db.write(|tx| {
            let (now, caller) = (now_ms(), Caller::system());
            known(tx, now)?;
            let first = new_credential(tx, now, AGENT, AGE)?;
            // The one before counts until the new one was shown.
            let second = new_credential(tx, now, AGENT, AGE)?;
            assert_ne!(first, second);
            assert_eq!(admit(tx, now, &first), Ok(Some(Admission::Former(AGENT.to_owned()))));
            assert_eq!(admit(tx, now, &second), Ok(Some(Admission::Renewed(AGENT.to_owned()))));
            confirm_credential(tx, AGENT)?;
            assert_eq!(admit(tx, now, &first), Ok(None), "superseded");
            assert_eq!(admit(tx, now, &second), own(AGENT));
            // The service's key alone makes none: what was signed is not written down.
            let forged = issue(tx, now, AGENT, AGE)?.token;
            assert_eq!(admit(tx, now, &forged), Ok(None), "forged");

            agents::forget_credential(tx, &caller, now, AGENT)?;
            assert_eq!(admit(tx, now, &second), Ok(None), "forgotten");
            let third = new_credential(tx, now, AGENT, AGE)?;
            assert_eq!(admit(tx, now, &third), own(AGENT));
            agents::revoke(tx, &caller, now, AGENT)?;
            assert_eq!(admit(tx, now, &third), Ok(None), "revoked");
            Ok(())
        });
        judged.await.expect("judged");
    }
}

#[tokio::test]
async fn credentials_of_earlier_versions_count_until_they_are_replaced() {
    for test in all().await {
        let judged = test.db.write(|tx| {
            let now = now_ms();
            known(tx, now)?;
            let opaque = Secret::new(&format!("agt_{AGENT}"));
            let sql = "UPDATE agents SET credential_hash = ?2, credential_at = ?3 WHERE id = ?1";
            tx.execute(sql, args![AGENT, &opaque.hash, now])?;
            assert_eq!(admit(tx, now, &opaque.token), own(AGENT));
            assert!(!is_credential_due(tx, now, AGENT, AGE)?);
            let later = now + 31 * DAY_MS;
            assert_eq!(admit(tx, later, &opaque.token), own(AGENT));
            assert!(is_credential_due(tx, later, AGENT, AGE)?);
            assert!(!is_credential_due(tx, later, AGENT, None)?);

            let token = new_credential(tx, later, AGENT, AGE)?;
            assert_eq!(part(&token, 1)["sub"], AGENT);
            assert_eq!(admit(tx, later, &opaque.token), Ok(Some(Admission::Former(AGENT.to_owned()))));
            assert_eq!(admit(tx, later, &token), Ok(Some(Admission::Renewed(AGENT.to_owned()))));
            confirm_credential(tx, AGENT)?;
            assert_eq!(admit(tx, later, &opaque.token), Ok(None));
            Ok(())
        });
        judged.await.expect("judged");
    }
}

#[tokio::test]
async fn a_credential_is_replaced_before_it_expires_whatever_the_age_is_set_to() {
    for test in all().await {
        let judged = test.db.write(|tx| {
            let now = now_ms();
            known(tx, now)?;
            // (age when it was made, age now, days until it is due, days until it is no longer good)
            let cases = [
                (Some(30), Some(30), Some(30), Some(120)),
                (Some(30), Some(10), Some(10), Some(120)),
                (Some(30), Some(365), Some(30), Some(120)),
                (Some(30), None, Some(30), Some(120)),
                (None, Some(30), Some(30), None),
                (None, None, None, None),
            ];
            for (made, set, due, good) in cases {
                let [made, set] = [made, set].map(|days| days.map(|days: i64| days * DAY_MS));
                let token = new_credential(tx, now, AGENT, made)?;
                confirm_credential(tx, AGENT)?;
                let mut is_due =
                    |days: i64, more| is_credential_due(tx, now + days * DAY_MS + more, AGENT, set);
                match due {
                    Some(days) => {
                        assert_eq!((is_due(days, 0)?, is_due(days, 1)?), (false, true), "{made:?} {set:?}")
                    }
                    None => assert!(!is_due(100_000, 0)?),
                }
                let mut is_good = |days: i64| admit(tx, now + days * DAY_MS, &token).is_ok();
                match good {
                    Some(days) => assert_eq!((is_good(days - 1), is_good(days)), (true, false)),
                    None => assert!(is_good(100_000)),
                }
            }
            // Whoever was away too long does not come in by a token either, and hears what helps.
            let token = Admission::Token("enr_1".to_owned());
            let error = enrol(tx, now + 1000 * DAY_MS, AGENT, &token).expect_err("refused");
            assert!(
                matches!(&error, Error::Forbidden(text) if text.contains("DELETE /agents/{id}/credential")),
                "{error:?}"
            );
            agents::forget_credential(tx, &Caller::system(), now, AGENT)?;
            assert_eq!(enrol(tx, now + 1000 * DAY_MS, AGENT, &token), Ok(()));
            Ok(())
        });
        judged.await.expect("judged");
    }
}

#[tokio::test]
async fn keys_follow_each_other_and_go_with_the_last_credential_that_they_signed() {
    for test in all().await {
        let judged = test.db.write(|tx| {
            let keys = |tx: &mut dyn Tx| -> Result<Vec<Value>> {
                let rows = tx.query("SELECT id FROM signing_keys ORDER BY created_at", &[])?;
                Ok(rows.iter().map(|row| row.text(0).into()).collect())
            };
            let start = now_ms();
            known(tx, start)?;
            let first = new_credential(tx, start, AGENT, AGE)?;
            let day = |days: i64| start + days * DAY_MS;
            assert_eq!(key_of(&issue(tx, day(89), OTHER, AGE)?.token), key_of(&first));
            // The next one signs, the one before vouches.
            let second = new_credential(tx, day(90), OTHER, AGE)?;
            assert_ne!(key_of(&second), key_of(&first));
            assert_eq!(keys(tx)?, [key_of(&first), key_of(&second)]);
            assert_eq!(admit(tx, day(90), &first), own(AGENT));
            // What the first one signed last is good for 89 + 120 days.
            let third = issue(tx, day(180), OTHER, AGE)?.token;
            assert_eq!(keys(tx)?, [key_of(&first), key_of(&second), key_of(&third)]);
            let fourth = issue(tx, day(270), OTHER, None)?.token;
            assert_eq!(keys(tx)?, [key_of(&third), key_of(&fourth)]);
            assert!(admit(tx, day(270), &first).is_err());
            // One that signed what never expires stays.
            let last = issue(tx, day(10_000), OTHER, AGE)?.token;
            assert_eq!(keys(tx)?, [key_of(&fourth), key_of(&last)]);
            let removed =
                tx.query("SELECT target FROM audit WHERE action = 'signing_key.remove' ORDER BY seq", &[])?;
            let removed: Vec<Value> = removed.iter().map(|row| row.text(0).into()).collect();
            assert_eq!(removed, [key_of(&first), key_of(&second), key_of(&third)]);
            Ok(())
        });
        judged.await.expect("judged");
    }
}

#[tokio::test]
async fn what_one_instance_signs_another_takes() {
    for test in all().await {
        let other = open(&test.url).await.expect("opened");
        test.db.write(|tx| known(tx, now_ms())).await.expect("known");
        // Both at the same time, as at the very first start; there is one key afterwards.
        let (here, there) = (test.db.write_at(prepare), other.write_at(prepare));
        let (here, there) = tokio::join!(here, there);
        assert_eq!((here, there), (Ok(()), Ok(())));
        let issued = test.db.write_at(|tx, now| new_credential(tx, now, AGENT, AGE)).await.expect("made");
        let token = issued.clone();
        let taken = other.write_at(move |tx, now| {
            let keys = tx.query("SELECT id FROM signing_keys", &[])?;
            assert_eq!(keys.len(), 1);
            admit(tx, now, &token)
        });
        assert_eq!(taken.await, own(AGENT));
        // Withdrawn by one, it is so for the other.
        let withdrawn =
            other.write_at(|tx, now| agents::forget_credential(tx, &Caller::system(), now, AGENT));
        withdrawn.await.expect("withdrawn");
        assert_eq!(test.db.write_at(move |tx, now| admit(tx, now, &issued)).await, Ok(None));
    }
}

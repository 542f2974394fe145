//! Any text as a file of users: it is refused by line, or its users take no password that nobody wrote.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phoenix_extension_basicauth::htpasswd::Htpasswd;

fuzz_target!(|input: (&str, &[u8])| {
    let (text, password) = input;
    match Htpasswd::parse(text) {
        Err(error) => assert!(error.line >= 1 && error.line <= text.lines().count()),
        Ok(users) => {
            let quick = users.into_users().into_values().filter(|hash| !hash.is_slow());
            for hash in quick.take(10) {
                let fits = hash.fits(password);
                assert!(!fits || !password.is_empty() || text.contains("{S"), "{hash:?} takes nothing");
            }
        }
    }
});

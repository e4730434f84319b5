//! Recognises settings that are secrets.

/// Last words of the names of secret settings.
const WORDS: [&str; 4] = ["token", "password", "passphrase", "secret"];

/// Whether a setting with this name and value is a secret: it is named like one, or is a URL with a
/// password.
pub fn is_secret(key: &str, value: &str) -> bool {
    let last_word = key.rsplit(['_', '.', '-']).next().unwrap_or_default();
    let is_called_so = WORDS.iter().any(|word| last_word.eq_ignore_ascii_case(word));
    is_called_so && !value.is_empty() || has_password(value)
}

/// Whether a text is a URL with a password: `scheme://user:password@host` (RFC 3986, section
/// 3.2.1).
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let password = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
    password.is_some_and(|(_, password)| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names_and_urls_by_their_passwords() {
        for (key, value) in [
            ("token", "x"),
            ("pull_token", "x"),
            ("rabbitmq_password", "x"),
            ("url", "amqp://user:hush@host/%2f"),
            ("url", "amqps://u:p%40@[::1]:5671"),
        ] {
            assert!(is_secret(key, value), "{key} = {value}");
        }
        for (key, value) in [
            ("token", ""),
            ("token_file", "/etc/token"),
            ("url", "amqp://127.0.0.1:5672/%2f"),
            ("url", "https://host/a:b@c"),
            ("url", "amqp://user@host"),
            ("device", "eth0"),
        ] {
            assert!(!is_secret(key, value), "{key} = {value}");
        }
    }
}

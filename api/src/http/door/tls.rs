//! The configured certificate of the central.

use crate::Error;
use crate::config::Tls;
use zonepulse_net::tls::{Authority, Certificate};

/// Reads certificate and key, if the central terminates TLS itself.
///
/// Fails with [`Error::File`] when a file cannot be read, and with
/// [`Error::Certificate`] when they are not what TLS needs.
pub fn certificate(tls: &Tls) -> Result<Option<Certificate>, Error> {
    // If a proxy in front presents the certificate, probes still need its certificate authority.
    let authority = tls.ca_file.as_deref().map(Authority::read).transpose()?;
    match (&tls.certificate_file, &tls.key_file) {
        (Some(certificate), Some(key)) => Ok(Some(Certificate::read(certificate, key, authority.as_ref())?)),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::Config("tls.certificate_file is set and tls.key_file is not: set both".to_owned())),
        (None, Some(_)) => Err(Error::Config("tls.key_file is set and tls.certificate_file is not: set both".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn written(dir: &Path, name: &str, text: &str) -> Option<PathBuf> {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        Some(path)
    }

    #[test]
    fn what_cannot_be_used_is_told_with_the_key_or_the_file_at_fault() {
        let dir = tempfile::tempdir().unwrap();
        let one = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["b.test".to_owned()]).unwrap();
        let one_file = written(dir.path(), "one.crt", &one.cert.pem());
        let key = written(dir.path(), "one.key", &one.signing_key.serialize_pem());
        let other = written(dir.path(), "other.key", &other.signing_key.serialize_pem());
        let empty = written(dir.path(), "empty", "");
        let missing = Some(dir.path().join("missing"));
        let with = |certificate: &Option<PathBuf>, key: &Option<PathBuf>, ca_file: &Option<PathBuf>| {
            self::certificate(&Tls { certificate_file: certificate.clone(), key_file: key.clone(), ca_file: ca_file.clone() })
        };
        assert!(with(&one_file, &key, &None).unwrap().is_some());
        assert!(self::certificate(&Tls::default()).unwrap().is_none());
        let cases = [
            (&one_file, &None, &None, "tls.key_file is not"),
            (&None, &key, &None, "tls.certificate_file is not"),
            (&one_file, &other, &None, "does not match"),
            (&empty, &key, &None, "empty: contains no certificate"),
            (&one_file, &empty, &None, "empty: contains no readable private key"),
            (&missing, &key, &None, "missing: "),
            (&None, &None, &empty, "empty: contains no certificate"),
        ];
        for (certificate, key, ca_file, expected) in cases {
            let said = with(certificate, key, ca_file).err().map(|error| describe(&error)).unwrap();
            assert!(said.contains(expected), "{said}");
        }
    }
}

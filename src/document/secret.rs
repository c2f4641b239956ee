//! Secrets: where they are kept, and how they are read without ever being shown.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use secrecy::SecretString;
use thiserror::Error;

use super::reading::{self, ReadError};
use crate::redaction;

/// Longest secret in bytes. The longest known one, an access token of a provider, has 1,200;
/// a larger file is the wrong file.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Time limit of reading one: a file system that hangs must not hold a poll.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a secret is read from: never the configuration itself, never a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read at each poll, so that a rotated secret needs no restart.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// Why a secret could not be read. No variant holds any of the secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{path} {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ReadError,
    },
    /// The variable does not exist or is not UTF-8.
    #[error("environment variable {0} is not set, or is not UTF-8")]
    NotSet(String),
    /// Nothing but white space.
    #[error("{0} is empty")]
    Empty(String),
    /// Not something that can stand in an HTTP header.
    #[error("{0} must contain one line of printable ASCII characters")]
    NotPrintable(String),
    /// More bytes than any secret has.
    #[error("{0} is larger than {MAX_SECRET_BYTES} bytes")]
    TooLarge(String),
}

impl SecretSource {
    /// Reads the secret, without the white space around it. A file that is empty or gone may be about to
    /// be replaced, and is read again for a second before that is believed.
    pub async fn read(&self) -> Result<SecretString, SecretError> {
        let read = || self.read_now();
        read.retry(looks())
            .sleep(tokio::time::sleep)
            .when(|error| self.may_be_in_replacement(error))
            .await
    }

    fn may_be_in_replacement(&self, error: &SecretError) -> bool {
        match error {
            SecretError::Empty(_) => matches!(self, Self::File(_)),
            SecretError::File { source: ReadError::Io(error), .. } => {
                error.kind() == ErrorKind::NotFound
            }
            _ => false,
        }
    }

    /// Reads the secret once.
    pub async fn read_now(&self) -> Result<SecretString, SecretError> {
        let (text, place) = match self {
            Self::File(path) => {
                let place = path.display().to_string();
                let bytes = reading::read(path, MAX_SECRET_BYTES, READ_TIMEOUT).await;
                let bytes =
                    bytes.map_err(|source| SecretError::File { path: path.clone(), source })?;
                if bytes.len() as u64 > MAX_SECRET_BYTES {
                    return Err(SecretError::TooLarge(place));
                }
                let text = String::from_utf8(bytes)
                    .map_err(|_| SecretError::NotPrintable(place.clone()))?;
                (text, place)
            }
            Self::Env(name) => {
                let text = std::env::var(name).map_err(|_| SecretError::NotSet(name.clone()))?;
                (text, format!("environment variable {name}"))
            }
        };
        // editors begin files with a byte order mark
        let secret = text.trim_start_matches('\u{feff}').trim();
        if secret.is_empty() {
            return Err(SecretError::Empty(place));
        }
        if !is_printable(secret) {
            return Err(SecretError::NotPrintable(place));
        }
        let secret = SecretString::from(secret);
        redaction::register(&secret);
        Ok(secret)
    }
}

/// Whether a text is something that an HTTP header can carry as a secret: printable ASCII that is not
/// blank.
pub fn is_printable(text: &str) -> bool {
    let is_printable = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    !text.trim().is_empty() && text.bytes().all(is_printable)
}

/// Looks at a file that is being replaced: a second in all, which is long for a writer and short for a
/// poll.
fn looks() -> ConstantBuilder {
    ConstantBuilder::new().with_delay(Duration::from_millis(100)).with_max_times(10)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use secrecy::ExposeSecret;

    use super::*;

    async fn read_file(content: &[u8]) -> Result<String, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let source = SecretSource::File(file.path().to_path_buf());
        match source.read().await {
            Ok(secret) => {
                assert!(!format!("{secret:?}").contains(secret.expose_secret()));
                Ok(secret.expose_secret().to_owned())
            }
            Err(error) => Err(error.to_string().replace(&file.path().display().to_string(), "F")),
        }
    }

    #[tokio::test]
    async fn a_secret_is_redacted_once_it_is_read() {
        let secret = "a-secret-of-the-reading-test";
        read_file(secret.as_bytes()).await.unwrap();
        assert_eq!(redaction::redact(secret), "[redacted]");
    }

    #[tokio::test]
    async fn surrounding_white_space_and_a_byte_order_mark_are_ignored() {
        assert_eq!(read_file(b"hunter2\n").await, Ok("hunter2".to_owned()));
        assert_eq!(read_file(b" a b \r\n").await, Ok("a b".to_owned()));
        assert_eq!(read_file("\u{feff}hunter2\r\n".as_bytes()).await, Ok("hunter2".to_owned()));
    }

    // paused: the replacement comes once the first look has failed
    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_empty_or_gone_for_a_moment_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for before in [None, Some("")] {
            std::fs::remove_file(&path).ok();
            if let Some(content) = before {
                std::fs::write(&path, content).unwrap();
            }
            let source = SecretSource::File(path.clone());
            assert!(source.read_now().await.is_err());
            let (read, written) = tokio::join!(source.read(), async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                std::fs::write(&path, "replaced")
            });
            written.unwrap();
            assert_eq!(read.unwrap().expose_secret(), "replaced");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_not_waited_for() {
        let begin = tokio::time::Instant::now();
        read_file(b"hun\nter2").await.unwrap_err();
        let missing = SecretSource::Env("CAMPAIGN_EXPORTER_NO_SUCH_VARIABLE".to_owned());
        missing.read().await.unwrap_err();
        assert_eq!(begin.elapsed(), Duration::ZERO);
        read_file(b"").await.unwrap_err();
        assert_eq!(begin.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn an_error_names_an_invalid_file_but_not_its_content() {
        assert_eq!(read_file(b"\n").await, Err("F is empty".to_owned()));
        for content in [&b"hun\nter2"[..], b"hunter\xff", "hünter2".as_bytes()] {
            let error = read_file(content).await.unwrap_err();
            assert!(error.starts_with("F must contain one line"), "{error}");
            assert!(!error.contains("nter"), "{error}");
        }
        let error = read_file(&vec![b'x'; 70_000]).await.unwrap_err();
        assert!(error.starts_with("F is larger"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_file_or_variable_is_named() {
        let missing = SecretSource::File("/nonexistent/token".into());
        assert!(missing.read().await.unwrap_err().to_string().contains("/nonexistent/token"));
        let missing = SecretSource::Env("CAMPAIGN_EXPORTER_NO_SUCH_VARIABLE".to_owned());
        let error = missing.read().await.unwrap_err().to_string();
        assert!(error.contains("NO_SUCH_VARIABLE is not set"), "{error}");
    }
}

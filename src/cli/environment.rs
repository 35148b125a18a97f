//! `RINGTALK_*`: what the environment says of settings.

use super::failure::{Code, Failure};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// The variable of a setting, by its key in the file.
pub(super) fn variable(key: &str) -> String {
    format!("RINGTALK_{}", key.to_uppercase())
}

/// The environment, as a function from a setting's key to what its variable holds.
///
/// Each method fails with [`Code::Usage`] and the variable's name for a value that is none of the setting.
pub(super) struct Environment<F>(pub(super) F);

impl<F: Fn(&str) -> Option<OsString>> Environment<F> {
    /// A value.
    pub(super) fn value<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Failure> {
        self.text(key)?.map(|text| read(key, &text, parse)).transpose()
    }

    /// Values with commas between them.
    pub(super) fn list<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<Vec<T>>, Failure> {
        self.text(key)?.map(|text| text.split(',').map(|part| read(key, part, &parse)).collect()).transpose()
    }

    /// A path, which may be other than UTF-8.
    pub(super) fn path(&self, key: &str) -> Result<Option<PathBuf>, Failure> {
        match (self.0)(key) {
            Some(path) if path.is_empty() => Err(wrong(key, "", "a path is not empty")),
            path => Ok(path.map(PathBuf::from)),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, Failure> {
        let text = (self.0)(key).map(OsString::into_string).transpose();
        text.map_err(|value| wrong(key, &value.to_string_lossy(), "it is not UTF-8"))
    }
}

fn read<T, E: fmt::Display>(key: &str, text: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, Failure> {
    parse(text).map_err(|why| wrong(key, text, why))
}

fn wrong(key: &str, value: &str, why: impl fmt::Display) -> Failure {
    let variable = variable(key);
    Failure::new(Code::Usage, format!("invalid value '{value}' for {variable}: {why}"))
        .hint(format!("mend it, or leave it out: unset {variable}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::values::{Peer, port};

    #[test]
    fn variable_is_read_as_its_flag_is_and_a_wrong_one_is_named() {
        let environment = Environment(|key: &str| match key {
            "port" => Some("9000".into()),
            "peer" => Some("oak,elm:0".into()),
            "data" => Some(OsString::new()),
            _ => None,
        });
        assert_eq!(environment.value("port", port), Ok(Some(9000)));
        assert_eq!(environment.path("config"), Ok(None));
        let refused = environment.list::<Peer, _>("peer", str::parse).unwrap_err();
        assert!(refused.message.starts_with("invalid value 'elm:0' for RINGTALK_PEER: a peer is"), "{refused:?}");
        let refused = environment.path("data").unwrap_err();
        assert_eq!(refused.message, "invalid value '' for RINGTALK_DATA: a path is not empty");
    }

    #[cfg(unix)]
    #[test]
    fn text_that_is_not_utf_8_is_refused_but_in_paths() {
        use std::os::unix::ffi::OsStringExt;
        let environment = Environment(|_: &str| Some(OsString::from_vec(vec![b'a', 0xff])));
        assert!(environment.value::<String, _>("net", str::parse).is_err());
        assert!(environment.path("data").is_ok());
    }
}

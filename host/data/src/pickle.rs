//! Python pickles of a dictionary with images, as the CIFAR and ImageNet16 publishers wrote them.
//!
//! A pickled numpy array is its state `(version, shape, dtype, is_fortran, bytes)`; nothing in the
//! file is run. Text is bytes from Python 2 and Unicode from Python 3; both are accepted. Must not
//! know which dataset it reads. Source: Python documentation, `pickle`; NumPy, `ndarray.__setstate__`.

use crate::error::FormatFault;
use serde_pickle::{DeOptions, HashableValue, Value};

/// A dictionary that was pickled.
pub(crate) struct Dictionary(Vec<(HashableValue, Value)>);

impl Dictionary {
    /// Reads the pickle, protocols 0 to 4.
    ///
    /// # Errors
    /// [`FormatFault::Pickle`].
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FormatFault> {
        let options = DeOptions::new().replace_unresolved_globals();
        match serde_pickle::value_from_slice(bytes, options) {
            Ok(Value::Dict(entries)) => Ok(Self(entries.into_iter().collect())),
            Ok(_) => Err(FormatFault::Pickle {
                why: "another kind of value".into(),
            }),
            Err(e) => Err(FormatFault::Pickle { why: e.to_string() }),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        let is_key = |k: &HashableValue| match k {
            HashableValue::Bytes(b) => b == key.as_bytes(),
            HashableValue::String(s) => s == key,
            _ => false,
        };
        self.0.iter().find(|(k, _)| is_key(k)).map(|(_, v)| v)
    }

    /// The bytes of a row-major array of `u8` with shape `[n, per_row]`.
    ///
    /// # Errors
    /// No such array, or rows of another length.
    pub(crate) fn rows(&self, key: &str, per_row: usize) -> Result<&[u8], FormatFault> {
        let Some((shape, bytes)) = self.get(key).and_then(array) else {
            return Err(FormatFault::Entry {
                key: key.into(),
                want: "a row-major array",
            });
        };
        FormatFault::unless_equal("dimensions of the array", shape.len(), 2)?;
        FormatFault::unless_equal("bytes per image", shape[1], per_row)?;
        let n_bytes = shape[0].saturating_mul(per_row);
        FormatFault::unless_equal("bytes of images", bytes.len(), n_bytes)?;
        Ok(bytes)
    }

    /// A list of whole numbers in 0..=65535.
    ///
    /// # Errors
    /// No such list.
    pub(crate) fn numbers(&self, key: &str) -> Result<Vec<u16>, FormatFault> {
        let number = |v: &Value| match v {
            Value::I64(i) => u16::try_from(*i).ok(),
            _ => None,
        };
        self.list(key, number, "a list of numbers in 0..=65535")
    }

    /// A list of texts.
    ///
    /// # Errors
    /// No such list.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, FormatFault> {
        let text = |v: &Value| match v {
            Value::String(s) => Some(s.clone()),
            Value::Bytes(b) => String::from_utf8(b.clone()).ok(),
            _ => None,
        };
        self.list(key, text, "a list of texts")
    }

    fn list<T>(
        &self,
        key: &str,
        item: impl Fn(&Value) -> Option<T>,
        want: &'static str,
    ) -> Result<Vec<T>, FormatFault> {
        let items = match self.get(key) {
            Some(Value::List(list)) => list.iter().map(item).collect(),
            _ => None,
        };
        items.ok_or(FormatFault::Entry {
            key: key.into(),
            want,
        })
    }
}

/// Shape and bytes of a row-major numpy array.
fn array(state: &Value) -> Option<(Vec<usize>, &[u8])> {
    let Value::Tuple(state) = state else {
        return None;
    };
    let [
        _,
        Value::Tuple(shape),
        _,
        Value::Bool(false),
        Value::Bytes(bytes),
    ] = &state[..]
    else {
        return None;
    };
    let size = |v: &Value| match v {
        Value::I64(i) => usize::try_from(*i).ok(),
        _ => None,
    };
    Some((shape.iter().map(size).collect::<Option<_>>()?, bytes))
}

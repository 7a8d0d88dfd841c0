//! NumPy's `.npy` files: what `numpy.save` writes of int8, uint8 and float32 arrays.
//!
//! Owns the header: magic, version, a Python dictionary of type, order and shape. It must not know what the
//! values mean. Source: NumPy's documentation, "numpy.lib.format", versions 1.0 and 2.0.

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Header and padding together are a multiple of it.
const ALIGN: usize = 64;
/// Magic, version and the length of a header of version 1.
const START_BYTES: usize = 10;

/// Why a file gives no array.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// It starts with something else.
    #[error(
        "no NumPy file: it does not start with \\x93NUMPY; write it by numpy.save, or name raw bytes otherwise"
    )]
    Magic,
    /// Of another format.
    #[error("NumPy format {major}, this program reads 1 and 2: write the file by numpy.save")]
    Version {
        /// First byte behind the magic.
        major: u8,
    },
    /// The header is no dictionary of the three keys.
    #[error(
        "the header is no dictionary of descr, fortran_order and shape: write the file by numpy.save"
    )]
    Header,
    /// Values of a type that no model takes.
    #[error(
        "values of type {descr}: save int8 (as they are), uint8 (less 128) or float32 (will be quantized), e.g. \
         x.astype(numpy.float32)"
    )]
    Type {
        /// As in the header.
        descr: String,
    },
    /// The first axis runs fastest.
    #[error("values in Fortran order: save numpy.ascontiguousarray(x)")]
    Order,
    /// The file ends too early or too late.
    #[error(
        "{got_bytes} bytes, a {shape:?} array of its type needs {want_bytes}: the file is damaged"
    )]
    Length {
        /// Of the file.
        got_bytes: usize,
        /// By its header.
        want_bytes: usize,
        /// By its header.
        shape: Vec<usize>,
    },
}

/// The values of an array, in C order, as bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values<'a> {
    /// int8.
    I8(&'a [u8]),
    /// uint8.
    U8(&'a [u8]),
    /// float32, little-endian, 4 bytes each.
    F32(&'a [u8]),
}

/// An array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Npy<'a> {
    /// Length of every axis.
    pub shape: Vec<usize>,
    /// As many as the product of `shape`.
    pub values: Values<'a>,
}

impl<'a> Npy<'a> {
    /// The array in `file`.
    ///
    /// # Errors
    /// [`NpyError`].
    pub fn read(file: &'a [u8]) -> Result<Self, NpyError> {
        let version = file.strip_prefix(MAGIC).ok_or(NpyError::Magic)?;
        let (header, data) = match version {
            [1, _, a, b, rest @ ..] => rest.split_at_checked(u16::from_le_bytes([*a, *b]).into()),
            [2, _, a, b, c, d, rest @ ..] => {
                rest.split_at_checked(u32::from_le_bytes([*a, *b, *c, *d]) as usize)
            }
            [1 | 2, ..] | [] => None,
            &[major, ..] => return Err(NpyError::Version { major }),
        }
        .ok_or(NpyError::Header)?;
        let header = std::str::from_utf8(header).ok();
        let Header {
            descr,
            fortran_order,
            shape,
        } = header.and_then(Header::parse).ok_or(NpyError::Header)?;
        let (values, value_bytes): (fn(_) -> _, _) = match descr {
            "|i1" => (Values::I8, 1),
            "|u1" => (Values::U8, 1),
            "<f4" => (Values::F32, 4),
            _ => {
                let descr = descr.to_owned();
                return Err(NpyError::Type { descr });
            }
        };
        // An array of one axis has both orders.
        if fortran_order && shape.iter().filter(|&&n| n != 1).count() > 1 {
            return Err(NpyError::Order);
        }
        let want = shape
            .iter()
            .try_fold(value_bytes, |all: usize, &n| all.checked_mul(n))
            .unwrap_or(usize::MAX);
        if data.len() != want {
            return Err(NpyError::Length {
                got_bytes: file.len(),
                want_bytes: want.saturating_add(file.len() - data.len()),
                shape,
            });
        }
        let values = values(data);
        Ok(Self { shape, values })
    }
}

/// The file of an int8 array of `shape`.
pub fn write_i8(shape: &[usize], values: &[i8]) -> Vec<u8> {
    let n_axes = shape.len();
    let numbers: Vec<String> = shape.iter().map(usize::to_string).collect();
    // A tuple of one has a comma behind it.
    let shape = numbers.join(", ") + if n_axes == 1 { "," } else { "" };
    let mut header = format!("{{'descr': '|i1', 'fortran_order': False, 'shape': ({shape}), }}");
    let len = (START_BYTES + header.len() + 1).next_multiple_of(ALIGN) - START_BYTES - 1;
    header = format!("{header:<len$}\n");
    let mut file = MAGIC.to_vec();
    file.extend([1, 0]);
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.bytes());
    file.extend(values.iter().map(|q| q.cast_unsigned()));
    file
}

/// The dictionary.
struct Header<'a> {
    descr: &'a str,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl<'a> Header<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut rest = Literal(text);
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        rest.symbol("{")?;
        while rest.symbol("}").is_none() {
            let key = rest.string()?;
            rest.symbol(":")?;
            match key {
                "descr" => descr = Some(rest.string()?),
                "fortran_order" => fortran_order = Some(rest.boolean()?),
                "shape" => shape = Some(rest.tuple()?),
                _ => return None,
            }
            if rest.symbol(",").is_none() {
                rest.symbol("}")?;
                break;
            }
        }
        let header = Self {
            descr: descr?,
            fortran_order: fortran_order?,
            shape: shape?,
        };
        rest.0.trim().is_empty().then_some(header)
    }
}

/// What is left of a Python literal.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    fn symbol(&mut self, symbol: &str) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(symbol)?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c))?;
        let (string, rest) = text[1..].split_once(quote)?;
        self.0 = rest;
        Some(string)
    }

    fn boolean(&mut self) -> Option<bool> {
        match self.symbol("False") {
            Some(()) => Some(false),
            None => self.symbol("True").map(|()| true),
        }
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        self.symbol("(")?;
        let mut numbers = vec![];
        while self.symbol(")").is_none() {
            let text = self.0.trim_start();
            let end = text.find(|c: char| !c.is_ascii_digit())?;
            numbers.push(text[..end].parse().ok()?);
            self.0 = &text[end..];
            if self.symbol(",").is_none() {
                self.symbol(")")?;
                break;
            }
        }
        Some(numbers)
    }
}

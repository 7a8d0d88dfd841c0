//! Writes Python pickles of a dictionary, with numpy arrays, as Python 2 and 3 write them.
//!
//! Knows nothing of datasets. Source: Python documentation, `pickletools`.

/// Opcodes of Python's `pickle`. Text is Python 2's `str` (SHORT_BINSTRING), or Unicode.
pub(crate) struct Pickle {
    bytes: Vec<u8>,
    python2: bool,
}

impl Pickle {
    /// Protocol 2 as of Python 2, or 3 as of Python 3, up to the open dictionary.
    pub(crate) fn dictionary(python2: bool) -> Self {
        let bytes = vec![0x80, if python2 { 2 } else { 3 }, b'}', b'q', 1, b'('];
        Self { bytes, python2 }
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        if self.python2 {
            self.bytes.extend([b'U', text.len() as u8]);
        } else {
            self.bytes.push(b'X');
            self.bytes.extend((text.len() as u32).to_le_bytes());
        }
        self.bytes.extend(text.as_bytes());
        self
    }

    pub(crate) fn number(mut self, n: i32) -> Self {
        self.bytes.push(b'J');
        self.bytes.extend(n.to_le_bytes());
        self
    }

    pub(crate) fn op(mut self, opcodes: &[u8]) -> Self {
        self.bytes.extend(opcodes);
        self
    }

    pub(crate) fn numbers(mut self, key: &str, numbers: &[u16]) -> Self {
        self = self.text(key).op(b"](");
        for &n in numbers {
            self = self.number(n.into());
        }
        self.op(b"e")
    }

    pub(crate) fn texts(mut self, key: &str, texts: &[String]) -> Self {
        self = self.text(key).op(b"](");
        for text in texts {
            self = self.text(text);
        }
        self.op(b"e")
    }

    /// A numpy array of u1, row-major unless `is_fortran`.
    pub(crate) fn array(
        self,
        key: &str,
        data: &[u8],
        (rows, columns): (usize, usize),
        fortran: bool,
    ) -> Self {
        let (short, long): (u8, u8) = if self.python2 {
            (b'U', b'T')
        } else {
            (b'C', b'B')
        };
        let array = self.text(key);
        let array =
            array.op(b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\0\x85");
        let array = array.op(&[short, 1, b'b', 0x87, b'R', b'q', 7, b'(', b'K', 1]);
        let array = array.number(rows as i32).number(columns as i32);
        let array = array
            .op(b"\x86cnumpy\ndtype\nq\x08")
            .text("u1")
            .op(b"K\0K\x01\x87Rq\x09(K\x03");
        let array = array
            .text("|")
            .op(b"NNN")
            .number(-1)
            .number(-1)
            .op(b"K\0tb");
        let mut array = array.op(&[if fortran { 0x88 } else { 0x89 }, long]);
        array.bytes.extend((data.len() as u32).to_le_bytes());
        array.op(data).op(b"tb")
    }

    pub(crate) fn end(self) -> Vec<u8> {
        self.op(b"u.").bytes
    }
}

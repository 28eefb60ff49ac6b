//! Hexadecimal digits, upper case, as RocketMQ writes ids.

/// Writes `bytes` as digits, two each, over the first of `digits`, and returns those.
///
/// # Panics
/// If there is no room for them.
pub fn write<'a>(bytes: &[u8], digits: &'a mut [u8]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digits = &mut digits[..2 * bytes.len()];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    std::str::from_utf8(digits).expect("digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_two_digits() {
        assert_eq!(write(&[0x00, 0x7F, 0xA9], &mut [b'x'; 8]), "007FA9");
        assert_eq!(write(&[], &mut []), "");
    }
}

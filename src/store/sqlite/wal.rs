//! What `SQLite` does not tell: that it dropped the end of a write-ahead log behind a damaged frame.
//!
//! After a crash `SQLite` replays the log up to the first frame whose checksum is wrong, and takes the rest for the torn
//! end of the last transaction. When whole transactions lie behind that frame, what was durable is lost, in silence.
//! Format: <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// Whether a log that `SQLite` is about to replay has the end of a transaction behind its first damaged frame.
pub(super) fn loses_transactions(wal: &Path) -> io::Result<bool> {
    let file = match File::open(wal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let mut file = BufReader::new(file);
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut file, &mut header)? {
        return Ok(false);
    }
    let big_endian = word(&header, 0) & 1 == 1;
    let page_bytes = word(&header, 8) as usize;
    let mut sum = checksum(big_endian, (0, 0), &header[..24]);
    let mut whole = sum == (word(&header, 24), word(&header, 28));
    if !page_bytes.is_power_of_two() || page_bytes > 65_536 {
        // Without a page size frames cannot be told apart: a log that has any is lost.
        return fill(&mut file, &mut [0; FRAME_HEADER_BYTES]);
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    while fill(&mut file, &mut frame)? {
        if frame[8..16] != header[16..24] {
            // Of an earlier use of the file, or damaged itself; a log that ends here cannot be told from a shorter one.
            whole = false;
            continue;
        }
        sum = checksum(big_endian, sum, &frame[..8]);
        sum = checksum(big_endian, sum, &frame[FRAME_HEADER_BYTES..]);
        whole &= sum == (word(&frame, 16), word(&frame, 20));
        let ends_transaction = word(&frame, 4) != 0;
        if !whole && ends_transaction {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fills the buffer; `false` when the file ends before.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

fn checksum(big_endian: bool, (mut one, mut two): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let (first, second) = (word(pair, 0), word(pair, 4));
        let (first, second) = if big_endian { (first, second) } else { (first.swap_bytes(), second.swap_bytes()) };
        one = one.wrapping_add(first).wrapping_add(two);
        two = two.wrapping_add(second).wrapping_add(one);
    }
    (one, two)
}

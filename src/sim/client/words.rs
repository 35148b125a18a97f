//! What clients say: texts that follow from the ids of their messages, so that the checker need not remember them.

use crate::ids::{ClientId, MessageId};
use crate::record::{Kind, Lent};

/// The room that people enter before they talk.
pub const LOBBY: &str = "lobby";

fn mix(id: MessageId) -> u64 {
    let mut state = id.client.0 ^ id.cseq.rotate_left(32);
    crate::sim::rng::splitmix(&mut state)
}

/// The name a client goes by.
pub fn nick(client: ClientId) -> String {
    format!("c{:x}", client.0 & 0xffff)
}

/// The room of a message: one of three, by its id.
pub fn room(id: MessageId) -> &'static str {
    [LOBBY, "ops", "tea"][(mix(id) % 3) as usize]
}

/// For [`body`]: all messages are as long as messages may be.
pub const HUGE: u32 = 2000;
/// The words of the longest texts.
const HUGE_WORDS: u64 = 4000;
/// Letters of a word of a text.
const WORD_BYTES: usize = 16;
/// Sixteen digits of a client, a hyphen, twenty digits at most.
const HEAD_BYTES: usize = 37;

/// The text of a message: by its id. `long` per mille of them need several datagrams.
pub fn body(id: MessageId, long: u32) -> String {
    text(id, words(id, long))
}

/// How many bytes [`body`] has.
pub fn body_bytes(id: MessageId, long: u32) -> usize {
    head(id).1 + WORD_BYTES * words(id, long) as usize
}

fn words(id: MessageId, long: u32) -> u64 {
    let mixed = mix(id);
    if long == HUGE {
        return HUGE_WORDS;
    }
    let is_long = (mixed >> 32) % 1000 < u64::from(long);
    if is_long { 80 + (mixed >> 8) % 400 } else { 1 + (mixed >> 8) % 6 }
}

/// Whether these are the words that the message's writer said to a room, beside the writer's name.
pub fn is_said(message: &Lent<'_>) -> bool {
    message.kind == Kind::Text && message.room == room(message.id) && is_body(message.id, message.body)
}

/// Whether this is the text of the message, long or not. Makes no copy of it: this is asked of each delivery.
pub fn is_body(id: MessageId, body: &str) -> bool {
    let (head, length) = head(id);
    let Some(rest) = body.as_bytes().strip_prefix(&head[..length]) else { return false };
    let (there, more) = rest.as_chunks::<WORD_BYTES>();
    let words = there.len() as u64;
    let mixed = mix(id);
    let may_be = words == HUGE_WORDS || words == 80 + (mixed >> 8) % 400 || words == 1 + (mixed >> 8) % 6;
    let mut state = mixed;
    may_be && more.is_empty() && there.iter().all(|there| u128::from_le_bytes(*there) == word(&mut state))
}

fn text(id: MessageId, words: u64) -> String {
    let (head, length) = head(id);
    let mut text = Vec::with_capacity(length + WORD_BYTES * words as usize);
    text.extend_from_slice(&head[..length]);
    let mut state = mix(id);
    for _ in 0..words {
        text.extend_from_slice(&word(&mut state).to_le_bytes());
    }
    String::from_utf8(text).unwrap_or_default()
}

/// The next word of a text, its first letter in the lowest byte. All letters are made at once: each showing is compared.
fn word(state: &mut u64) -> u128 {
    let word = crate::sim::rng::splitmix(state);
    let (low, high) = (nibbles(word as u32), nibbles((word >> 32) as u32));
    u128::from(low + u64::from_le_bytes([b'a'; 8])) | u128::from(high + u64::from_le_bytes([b'a'; 8])) << 64
}

/// Each four bits in a byte of their own, in the same order.
fn nibbles(packed: u32) -> u64 {
    let halves = (u64::from(packed) | u64::from(packed) << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f
}

/// The digits of a number to base 16, the highest first.
fn digits(number: u32) -> [u8; 8] {
    let nibbles = nibbles(number);
    let beyond_nine = (nibbles + u64::from_le_bytes([6; 8])) >> 4 & u64::from_le_bytes([1; 8]);
    let letters = beyond_nine * u64::from(b'a' - b'9' - 1);
    (nibbles + u64::from_le_bytes([b'0'; 8]) + letters).to_be_bytes()
}

/// What a text begins with: the id as it is displayed, and how long that is.
fn head(id: MessageId) -> ([u8; HEAD_BYTES], usize) {
    let mut head = [b'-'; HEAD_BYTES];
    head[..8].copy_from_slice(&digits((id.client.0 >> 32) as u32));
    head[8..16].copy_from_slice(&digits(id.client.0 as u32));
    let length = id.cseq.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut rest = id.cseq;
    for digit in head[17..17 + length].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    (head, 17 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_of_four_bits_each() {
        assert_eq!(&word(&mut 7).to_le_bytes(), b"hnnacdjfeobolmdg");
    }

    #[test]
    fn text_begins_with_the_id_and_is_known_again_only_whole() {
        for cseq in [0, 1, 9, 10, 12_345, u64::MAX] {
            let id = MessageId { client: ClientId(0x0123_4567_89ab_cdef_u64.rotate_left(cseq as u32 % 64)), cseq };
            for long in [0, 1000, HUGE] {
                let body = body(id, long);
                assert_eq!(body.len(), body_bytes(id, long));
                assert!(body.starts_with(&id.to_string()) && is_body(id, &body), "{body}");
                assert!(!is_body(id, &body[..body.len() - 1]) && !is_body(id, &format!("{body}a")));
                assert!(!is_body(MessageId { cseq: cseq ^ 1, ..id }, &body));
                let mut harmed = body.clone().into_bytes();
                *harmed.last_mut().unwrap() ^= 1;
                assert!(!is_body(id, std::str::from_utf8(&harmed).unwrap()));
            }
        }
    }
}

//! What waits to be written to one browser.

use axum::extract::ws::Utf8Bytes;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Bytes that wait for one browser at most. Who has more to say waits; what is said to all and again later (status, trace)
/// is left out.
const MAX_BYTES: usize = 4 << 20;
/// A frame counts as at least this many bytes, so that the number of frames is bounded too.
const LEAST_BYTES: usize = 1 << 10;

/// Where frames for one browser go. Clones go to the same.
#[derive(Clone, Debug)]
pub(super) struct Outlet {
    frames: mpsc::Sender<Frame>,
    room: Arc<Semaphore>,
    closing: Arc<watch::Sender<Option<&'static str>>>,
    runtime: Handle,
}

/// One frame, and the room that it takes until it is written.
#[derive(Debug)]
pub(super) struct Frame {
    /// The text.
    pub(super) text: Utf8Bytes,
    _room: OwnedSemaphorePermit,
}

/// The other end: what is to be written, and whether that is over.
#[derive(Debug)]
pub(super) struct Drain {
    /// Frames in their order.
    pub(super) frames: mpsc::Receiver<Frame>,
    /// Becomes the reason when the connection is to end.
    pub(super) closing: watch::Receiver<Option<&'static str>>,
}

impl Outlet {
    /// An outlet and its drain, which a task of this runtime empties.
    pub(super) fn new(runtime: Handle) -> (Self, Drain) {
        let (frames, written) = mpsc::channel(MAX_BYTES / LEAST_BYTES);
        let (closing, closed) = watch::channel(None);
        let room = Arc::new(Semaphore::new(MAX_BYTES));
        (Self { frames, room, closing: Arc::new(closing), runtime }, Drain { frames: written, closing: closed })
    }

    /// Says something, waiting for room; `false` when the connection is over. Not for the runtime's own threads.
    pub(super) fn tell(&self, text: String) -> bool {
        let room = self.room.clone().acquire_many_owned(room_of(&text));
        self.runtime.block_on(room).is_ok_and(|room| self.push(text.into(), room))
    }

    /// Says something if there is room.
    pub(super) fn try_tell(&self, text: Utf8Bytes) -> bool {
        let room = self.room.clone().try_acquire_many_owned(room_of(&text));
        room.is_ok_and(|room| self.push(text, room))
    }

    /// Ends the connection, after what waits was written as far as it can be at once.
    pub(super) fn close(&self, why: &'static str) {
        self.room.close();
        self.closing.send_replace(Some(why));
    }

    /// Whether the connection is over.
    pub(super) fn is_closed(&self) -> bool {
        self.room.is_closed()
    }

    /// Whether both go to the same browser.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.room, &other.room)
    }

    fn push(&self, text: Utf8Bytes, room: OwnedSemaphorePermit) -> bool {
        // Never full: every frame took its share of the room.
        self.frames.try_send(Frame { text, _room: room }).is_ok()
    }
}

/// No frame needs more room than there is, or it would wait for ever.
fn room_of(text: &str) -> u32 {
    text.len().clamp(LEAST_BYTES, MAX_BYTES) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;

    #[test]
    fn outlet_that_nobody_empties_takes_no_more_than_its_bound() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let (outlet, drain) = Outlet::new(runtime.handle().clone());
        let text: Utf8Bytes = "x".repeat(1 << 20).into();
        for _ in 0..4 {
            assert!(outlet.try_tell(text.clone()));
        }
        assert!(!outlet.try_tell("x".into()), "4 MiB wait");
        drop(drain);
    }

    #[test]
    fn who_waits_for_room_is_told_when_the_connection_ends() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let (outlet, _drain) = Outlet::new(runtime.handle().clone());
        assert!(outlet.tell("x".repeat(5 << 20)), "one frame always fits");
        let waiting = outlet.clone();
        let thread = std::thread::spawn(move || waiting.tell("more".into()));
        outlet.close("enough");
        assert!(!thread.join().unwrap());
        assert!(outlet.is_closed() && !outlet.try_tell("more".into()));
    }
}

//! Where the parts of the window stand, for a terminal of any size.

use ratatui::layout::Rect;

/// From so many columns on the rooms stand at the left …
const WITH_ROOMS: u16 = 76;
/// … and from so many the people at the right.
const WITH_PEOPLE: u16 = 100;
/// Most lines of input.
const MAX_INPUT: u16 = 6;

/// The parts. One of no width or height is not shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Layout {
    /// The rooms.
    pub(crate) rooms: Rect,
    /// The topic, above the conversation.
    pub(crate) header: Rect,
    /// The conversation.
    pub(crate) body: Rect,
    /// The people.
    pub(crate) people: Rect,
    /// The status line.
    pub(crate) status: Rect,
    /// What is typed.
    pub(crate) input: Rect,
}

/// Most lines of input on a screen of this height.
pub(crate) fn most_input(height: u16) -> u16 {
    (height / 3).clamp(1, MAX_INPUT)
}

impl Layout {
    /// The parts on a screen of this size when so many lines are typed.
    pub(crate) fn new((width, height): (u16, u16), typed: u16) -> Self {
        let input_height = typed.clamp(1, most_input(height)).min(height);
        let status_height = u16::from(height > input_height);
        let above = height - input_height - status_height;
        let rooms_width = match width {
            0..WITH_ROOMS => 0,
            WITH_ROOMS..WITH_PEOPLE => 15,
            _ => 20,
        };
        let people_width = if width >= WITH_PEOPLE { 18 } else { 0 };
        let header_height = u16::from(above > 2);
        // A column between the parts is for the line that divides them.
        let left = if rooms_width > 0 { rooms_width + 1 } else { 0 };
        let right = if people_width > 0 { people_width + 1 } else { 0 };
        let middle = width - left - right;
        Self {
            rooms: Rect::new(0, 0, rooms_width, above),
            header: Rect::new(left, 0, middle, header_height),
            body: Rect::new(left, header_height, middle, above - header_height),
            people: Rect::new(width - people_width, 0, people_width, above),
            status: Rect::new(0, above, width, status_height),
            input: Rect::new(0, above + status_height, width, input_height),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_every_size_without_overlap_and_side_parts_vanish_when_it_is_narrow() {
        for width in 0..200 {
            for height in 0..60 {
                let layout = Layout::new((width, height), 3);
                let heights = layout.header.height + layout.body.height + layout.status.height + layout.input.height;
                assert_eq!(heights, height, "{width}×{height}");
                assert!(layout.body.right() <= width && layout.rooms.width <= width);
            }
        }
        let narrow = Layout::new((60, 15), 1);
        assert_eq!((narrow.rooms.width, narrow.people.width, narrow.body), (0, 0, Rect::new(0, 1, 60, 12)));
        let usual = Layout::new((80, 24), 1);
        assert_eq!((usual.rooms.width, usual.people.width), (15, 0));
        let wide = Layout::new((160, 50), 1);
        assert_eq!((wide.rooms.width, wide.people.width), (20, 18));
    }
}

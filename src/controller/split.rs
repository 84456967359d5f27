//! Takes a list apart while its bytes come in, so that no more than one of its items is in memory.

/// Larger items are not kept, 4 MiB: etcd stores no object that is larger than 1.5 MiB.
pub const LARGEST: usize = 4 << 20;
/// What is taken for small: a buffer that has grown larger is given back, and few larger items come in at once.
pub const SMALL: usize = 64 << 10;

/// An item as it came in.
pub enum Item {
    /// All of it.
    Text(Vec<u8>),
    /// It was larger than anything that is read.
    TooLarge,
}

/// A list that is coming in.
pub struct List {
    /// Everything but the items.
    around: Vec<u8>,
    /// The item that is coming in; none of one that is too large.
    item: Option<Vec<u8>>,
    /// How many maps and lists are open.
    depth: usize,
    in_text: bool,
    escaped: bool,
    in_items: bool,
}

impl Default for List {
    fn default() -> Self {
        Self {
            around: Vec::new(),
            item: Some(Vec::new()),
            depth: 0,
            in_text: false,
            escaped: false,
            in_items: false,
        }
    }
}

/// Depth of the list's own fields, and of what stands between its items.
const FIELDS: usize = 1;
const BETWEEN: usize = 2;

impl List {
    /// Takes in bytes up to the end of an item. Returns how many those were, and the item if one has ended.
    pub fn take(&mut self, bytes: &[u8]) -> (usize, Option<Item>) {
        for (at, byte) in bytes.iter().enumerate() {
            if self.step(*byte) {
                let item = self.item.replace(Vec::new());
                return (at + 1, Some(item.map_or(Item::TooLarge, Item::Text)));
            }
        }
        (bytes.len(), None)
    }

    /// Takes an item's buffer back, to be filled again.
    pub fn give_back(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= SMALL && self.item.as_ref().is_some_and(Vec::is_empty) {
            buffer.clear();
            self.item = Some(buffer);
        }
    }

    /// Whether much of an item has come in.
    pub fn is_large(&self) -> bool {
        self.item.as_ref().is_some_and(|item| item.len() > SMALL)
    }

    /// What stood around the items, once the list has ended.
    pub fn around(&self) -> &[u8] {
        &self.around
    }

    /// Takes in one byte. True if it ends an item.
    fn step(&mut self, byte: u8) -> bool {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            self.keep(byte);
            return false;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => {
                self.in_items |= byte == b'[' && self.depth == FIELDS && self.follows_items();
                self.depth += 1;
                if self.in_items && self.depth == BETWEEN {
                    self.around.push(byte);
                    return false;
                }
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.in_items && self.depth == FIELDS {
                    self.in_items = false;
                } else if self.in_items && self.depth == BETWEEN {
                    self.keep_in_item(byte);
                    return true;
                }
            }
            // Commas and spaces.
            _ if self.in_items && self.depth == BETWEEN => return false,
            _ => {}
        }
        self.keep(byte);
        false
    }

    fn follows_items(&self) -> bool {
        let before = self.around.trim_ascii_end();
        let key = before.strip_suffix(b":").map(<[u8]>::trim_ascii_end);
        key.is_some_and(|key| key.ends_with(b"\"items\""))
    }

    fn keep(&mut self, byte: u8) {
        if self.in_items {
            self.keep_in_item(byte);
        } else if self.around.len() < LARGEST {
            self.around.push(byte);
        }
    }

    fn keep_in_item(&mut self, byte: u8) {
        match &mut self.item {
            Some(item) if item.len() < LARGEST => item.push(byte),
            _ => self.item = None,
        }
    }
}

#[cfg(test)]
mod tests;

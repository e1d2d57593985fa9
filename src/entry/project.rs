//! Which attributes a search answer carries (RFC 4511 §4.5.1.8, RFC 3673, RFC 4529).

use bytes::BytesMut;
use smallvec::SmallVec;

use super::StoredEntry;
use super::filter::ValuesFilter;
use super::list::{self, Encoded};
use super::target::{EntryContext, Target, Virtual, structural_class, virtual_value};
use crate::protocol::message::Strings;
use crate::schema::{Schema, TypeId};

/// A resolved attribute selection: `*`, `+`, `1.1`, `@class`, names.
#[derive(Debug, Clone)]
pub struct Selection {
    all_user: bool,
    all_operational: bool,
    types_only: bool,
    named: Vec<Target>,
    /// Types that the object classes selected by `@class` allow, sorted.
    of_classes: Vec<Box<str>>,
    /// Virtual attributes wanted, by `+` or by name.
    made: SmallVec<[Virtual; 7]>,
}

/// What a requester may read of one entry.
#[derive(Clone, Copy)]
pub struct Readable<'a> {
    /// All user attributes are readable: they need not be asked about.
    pub all_user: bool,
    /// All operational attributes are readable.
    pub all_operational: bool,
    /// Asked with the canonical name, without options, of each attribute not covered by the flags.
    pub may_read: &'a dyn Fn(&str) -> bool,
}

impl Readable<'_> {
    /// Everything is.
    pub const ALL: Self = Readable { all_user: true, all_operational: true, may_read: &|_| true };
}

impl std::fmt::Debug for Readable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readable")
            .field("all_user", &self.all_user)
            .field("all_operational", &self.all_operational)
            .finish_non_exhaustive()
    }
}

/// Slices of whole encoded PartialAttributes, as `protocol::encode::entry` takes them.
pub type Slices<'a> = SmallVec<[&'a [u8]; 8]>;

impl Selection {
    /// Resolves a request's list. Unknown names and duplicates are ignored, an empty list is `*`; `1.1` with others is
    /// ignored (RFC 4511 §4.5.1.8).
    pub fn compile(attributes: Strings<'_>, types_only: bool, schema: &Schema) -> Self {
        Self::of(attributes.iter(), types_only, schema)
    }

    /// The same of any list of names.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>, types_only: bool, schema: &Schema) -> Self {
        let mut selection = Self {
            all_user: false,
            all_operational: false,
            types_only,
            named: Vec::new(),
            of_classes: Vec::new(),
            made: SmallVec::new(),
        };
        let mut empty = true;
        for name in names {
            empty = false;
            match name {
                "*" => selection.all_user = true,
                "+" => {
                    selection.all_operational = true;
                    Virtual::ALL.into_iter().for_each(|one| selection.make(one));
                }
                _ => match name.strip_prefix('@') {
                    Some(class) => selection.class(class, schema),
                    None => selection.name(name, schema),
                },
            }
        }
        selection.all_user |= empty;
        selection.of_classes.sort_unstable();
        selection
    }

    fn make(&mut self, which: Virtual) {
        if !self.made.contains(&which) {
            self.made.push(which);
        }
    }

    fn name(&mut self, name: &str, schema: &Schema) {
        let Some(target) = Target::resolve(name, schema) else { return };
        match target.made {
            Some(which) => {
                if target.options.is_empty() {
                    self.make(which);
                }
            }
            None => self.named.push(target),
        }
    }

    fn class(&mut self, class: &str, schema: &Schema) {
        // Options behind the class name (RFC 4529 §2) would select nothing: no stored class has any.
        let Some(class) = schema.object_class(class) else { return };
        let lineage = schema.with_superiors(class);
        let types: Vec<TypeId> =
            lineage.iter().flat_map(|class| class.must.iter().chain(&class.may)).copied().collect();
        for attribute in types.into_iter().filter_map(|id| schema.attribute_by_id(id)) {
            let name: Box<str> = attribute.name().into();
            if !self.of_classes.contains(&name) {
                self.of_classes.push(name);
            }
        }
    }

    /// Whether descriptions alone are wanted.
    pub const fn types_only(&self) -> bool {
        self.types_only
    }

    /// Whether an operational attribute is or may be selected.
    pub fn wants_operational(&self) -> bool {
        self.all_operational
            || !self.made.is_empty()
            || !self.of_classes.is_empty()
            || self.named.iter().any(|target| target.attribute.is_operational())
    }

    fn wants(&self, description: &[u8], all: bool) -> bool {
        all || self.named.iter().any(|target| target.matches(description))
            || (!self.of_classes.is_empty()
                && super::filter::is_among(&self.of_classes, list::base_name(description)))
    }

    /// Appends the slices of the selected, readable attributes of an entry. What has to be made (virtual attributes,
    /// bare descriptions, picked values) is written to `scratch`, which must be empty. No attribute comes out without
    /// values, unless descriptions alone are wanted.
    #[allow(clippy::too_many_arguments)]
    pub fn project<'a>(
        &self,
        entry: &'a StoredEntry,
        schema: &Schema,
        context: &dyn EntryContext,
        readable: Readable<'_>,
        values: Option<&ValuesFilter>,
        scratch: &'a mut BytesMut,
        out: &mut Slices<'a>,
    ) {
        let verbatim = !self.types_only && values.is_none();
        let user = Half { list: entry.user_list(), all: self.all_user, readable: readable.all_user };
        let operational = Half {
            list: entry.operational_list(),
            all: self.all_operational,
            readable: readable.all_operational,
        };
        for half in [user, operational] {
            if half.list.is_empty() || (!half.all && self.named.is_empty() && self.of_classes.is_empty()) {
                continue;
            }
            if verbatim && half.all && half.readable {
                out.push(half.list);
                continue;
            }
            let mut run = Run::new(half.list);
            for attribute in list::attributes(half.list) {
                let name = list::base_name(attribute.description);
                let selected = self.wants(attribute.description, half.all)
                    && (half.readable
                        || std::str::from_utf8(name).is_ok_and(|name| (readable.may_read)(name)));
                if !selected {
                    run.skip(attribute.whole.len(), out);
                } else if verbatim {
                    run.take(attribute.whole.len());
                } else {
                    self.rewritten(attribute, values, scratch);
                }
            }
            if verbatim {
                run.finish(out);
            }
        }
        for &which in &self.made {
            if readable.all_operational || (readable.may_read)(which.name()) {
                self.virtual_attribute(which, entry, schema, context, values, scratch);
            }
        }
        let scratch: &'a BytesMut = scratch;
        if !scratch.is_empty() {
            out.push(scratch);
        }
    }

    fn rewritten(&self, attribute: Encoded<'_>, values: Option<&ValuesFilter>, scratch: &mut BytesMut) {
        if self.types_only {
            list::put(scratch, attribute.description, std::iter::empty());
        } else if let Some(filter) = values {
            let kept = attribute.values().filter(|value| filter.keeps(attribute.description, value));
            if kept.clone().next().is_some() {
                list::put(scratch, attribute.description, kept);
            }
        }
    }

    fn virtual_attribute(
        &self,
        which: Virtual,
        entry: &StoredEntry,
        schema: &Schema,
        context: &dyn EntryContext,
        values: Option<&ValuesFilter>,
        scratch: &mut BytesMut,
    ) {
        let mut value = Vec::new();
        if !virtual_value(which, entry, context, &|entry| structural_class(entry, schema), &mut value) {
            return;
        }
        let name = which.name().as_bytes();
        if self.types_only {
            list::put(scratch, name, std::iter::empty());
        } else if values.is_none_or(|filter| filter.keeps(name, &value)) {
            list::put(scratch, name, std::iter::once(value.as_slice()));
        }
    }
}

struct Half<'a> {
    list: &'a [u8],
    all: bool,
    readable: bool,
}

/// Joins neighbours into one slice.
struct Run<'a> {
    list: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Run<'a> {
    const fn new(list: &'a [u8]) -> Self {
        Self { list, start: 0, end: 0 }
    }

    const fn take(&mut self, length: usize) {
        self.end += length;
    }

    fn skip(&mut self, length: usize, out: &mut Slices<'a>) {
        self.flush(out);
        self.start = self.end + length;
        self.end = self.start;
    }

    fn flush(&mut self, out: &mut Slices<'a>) {
        match self.list.get(self.start..self.end) {
            Some(slice) if !slice.is_empty() => out.push(slice),
            _ => {}
        }
    }

    fn finish(mut self, out: &mut Slices<'a>) {
        self.flush(out);
    }
}

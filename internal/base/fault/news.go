package fault

// News tells which errors of something that is tried again and again are new, so that each
// is logged once. The zero value has seen none. Not safe for concurrent use.
type News struct{ last string }

// Has reports whether err differs from the error of the last try. After a try without one,
// each is new.
func (n *News) Has(err error) bool {
	text := ""
	if err != nil {
		text = Text(err)
	}
	isNew := text != "" && text != n.last
	n.last = text
	return isNew
}

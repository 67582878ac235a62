package verify

// IsFiller reports whether an Opus packet has no data, and decodes to silence or
// concealment (RFC 6716 3.2.1): it is of one byte or, where it may be of several
// streams, of one for each and a length of zero between them (RFC 6716 appendix B).
func IsFiller(data []byte, several bool) bool {
	if len(data)%2 == 0 || len(data) > 1 && !several {
		return false
	}
	for i, b := range data {
		if i%2 == 0 && b&3 != 0 || i%2 == 1 && b != 0 {
			return false
		}
	}
	return true
}

// IsSilence reports whether an Opus packet is digital silence as libopus codes it: in
// CELT frames of the two bytes ff fe, of several streams each but the last with
// its length.
func IsSilence(data []byte) bool {
	for len(data) > 3 {
		if data[0] < 0x80 || data[0]&3 != 0 || data[1] != 2 || data[2] != 0xff || data[3] != 0xfe {
			return false
		}
		data = data[4:]
	}
	return len(data) == 3 && data[0] >= 0x80 && data[0]&3 == 0 && data[1] == 0xff && data[2] == 0xfe
}

package oss

// SetMultipart makes the objects in parts small enough for tests.
func (s *Store) SetMultipart(from, part int64) { s.multipartFrom, s.partSize = from, part }

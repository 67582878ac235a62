package spool

// Free returns how many bytes this process may still write to the disk of the spool.
func (s *Spool) Free() (int64, error) { return s.disk.objects.Free() }

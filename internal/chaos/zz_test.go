package chaos
import ("testing";"fmt";"os";"strconv")
func TestLayered(t *testing.T){
 if os.Getenv("LAYERED")=="" {t.Skip()}
 from,_:=strconv.ParseUint(os.Getenv("LAYERED"),10,64)
 bad,n:=0,0
 to,_:=strconv.ParseUint(os.Getenv("LAYERED_TO"),10,64)
 for seed:=from; seed<to; seed++ {
  sc:=Generate(seed); l:=false
  for _,li:=range sc.Lives { if len(li.Video)>1 {l=true} }
  if l { n++; if !one(t,seed) {bad++} }
 }
 fmt.Printf("%d layered runs, %d with findings\n", n, bad)
}

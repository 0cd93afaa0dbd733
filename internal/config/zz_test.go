package config_test
import ("testing";"fmt";"strings";"time";"github.com/makegood/makegood/internal/config")
func TestZ(t *testing.T){
 var b strings.Builder; b.WriteString(strings.Split(good,"products:")[0]+"products:\n")
 for i:=range 5000 { fmt.Fprintf(&b,"  - code: p-%d\n    name: Product %d\n    price: 29.00 USD\n    provider_prices: {stripe: price_%d}\n",i,i,i) }
 b.WriteString("licenses:"+strings.Split(good,"licenses:")[1])
 st:=time.Now(); c,err:=config.Parse([]byte(b.String()),"m","",lookup); if err!=nil{t.Fatal(err.Error()[:200])}
 t.Log(b.Len(), len(c.Catalogue), time.Since(st))
 for _,s:=range []string{"[","a: 1\n","a:\n","[a],"," a:"} { st=time.Now(); config.Parse([]byte(strings.Repeat(s,(1<<20)/len(s))),"m","",lookup); t.Logf("%q %v",s,time.Since(st)) }
}
